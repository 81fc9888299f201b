"""Datasets, and where their files come from: mirrors, folders, scikit-learn's digits, folders of images."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "arrays": ["ArraySource"],
        "dataset": ["Dataset"],
        "fetching": ["fetch_dataset"],
        "folders": ["DigitsSource", "FolderSource"],
        "idx": ["read_idx", "write_idx"],
        "image_folder.exporting": ["export_pictures"],
        "image_folder.importing": ["import_pictures"],
        "importing.array_files": ["import_npy", "import_npz"],
        "importing.csv_table": ["import_csv"],
        "importing.outcome": ["Imported", "LeftOut"],
        "importing.parquet": ["import_parquet"],
        "manifest": ["DatasetManifest", "FileInfo"],
        "source": ["DataSource", "SupportsDigests", "SupportsName", "SupportsPins", "SupportsSize"],
        "split": ["Split"],
        "web.catalog": ["CATALOG", "PinnedFile", "WebDataset"],
        "web.source": ["WebSource"],
    },
)
