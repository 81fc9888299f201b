"""Folders of pictures become datasets, and datasets folders of pictures. Reading needs Pillow: the extra ``cli``."""

from __future__ import annotations

from mnistkit.data.image_folder.exporting import export_pictures
from mnistkit.data.image_folder.importing import import_pictures

__all__ = ["export_pictures", "import_pictures"]
