from mnistkit.data.arrays import ArraySource as ArraySource
from mnistkit.data.dataset import Dataset as Dataset
from mnistkit.data.fetching import fetch_dataset as fetch_dataset
from mnistkit.data.folders import DigitsSource as DigitsSource
from mnistkit.data.folders import FolderSource as FolderSource
from mnistkit.data.idx import read_idx as read_idx
from mnistkit.data.idx import write_idx as write_idx
from mnistkit.data.image_folder.exporting import export_pictures as export_pictures
from mnistkit.data.image_folder.importing import import_pictures as import_pictures
from mnistkit.data.importing.array_files import import_npy as import_npy
from mnistkit.data.importing.array_files import import_npz as import_npz
from mnistkit.data.importing.csv_table import import_csv as import_csv
from mnistkit.data.importing.outcome import Imported as Imported
from mnistkit.data.importing.outcome import LeftOut as LeftOut
from mnistkit.data.importing.parquet import import_parquet as import_parquet
from mnistkit.data.manifest import DatasetManifest as DatasetManifest
from mnistkit.data.manifest import FileInfo as FileInfo
from mnistkit.data.source import DataSource as DataSource
from mnistkit.data.source import SupportsDigests as SupportsDigests
from mnistkit.data.source import SupportsName as SupportsName
from mnistkit.data.source import SupportsPins as SupportsPins
from mnistkit.data.source import SupportsSize as SupportsSize
from mnistkit.data.split import Split as Split
from mnistkit.data.web.catalog import CATALOG as CATALOG
from mnistkit.data.web.catalog import PinnedFile as PinnedFile
from mnistkit.data.web.catalog import WebDataset as WebDataset
from mnistkit.data.web.source import WebSource as WebSource

__all__ = [
    "CATALOG",
    "ArraySource",
    "DataSource",
    "Dataset",
    "DatasetManifest",
    "DigitsSource",
    "FileInfo",
    "FolderSource",
    "Imported",
    "LeftOut",
    "PinnedFile",
    "Split",
    "SupportsDigests",
    "SupportsName",
    "SupportsPins",
    "SupportsSize",
    "WebDataset",
    "WebSource",
    "export_pictures",
    "fetch_dataset",
    "import_csv",
    "import_npy",
    "import_npz",
    "import_parquet",
    "import_pictures",
    "read_idx",
    "write_idx",
]
