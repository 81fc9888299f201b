"""Folders of pictures become datasets, and datasets folders of pictures. Reading needs Pillow: the extra ``cli``."""

from __future__ import annotations

from mnistkit.data.image_folder.exporting import export_pictures
from mnistkit.data.image_folder.importing import Imported, import_pictures
from mnistkit.data.image_folder.listing import LeftOut

__all__ = ["Imported", "LeftOut", "export_pictures", "import_pictures"]
