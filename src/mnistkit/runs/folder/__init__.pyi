from mnistkit.runs.folder.backend import FolderBackend as FolderBackend
from mnistkit.runs.folder.capped_log import CappedLog as CappedLog
from mnistkit.runs.folder.child import Limits as Limits
from mnistkit.runs.folder.execution import carry_out as carry_out
from mnistkit.runs.folder.lifecycle import RunLifecycle as RunLifecycle
from mnistkit.runs.folder.owner import Owner as Owner
from mnistkit.runs.folder.packing import pack as pack
from mnistkit.runs.folder.packing import unpack as unpack
from mnistkit.runs.folder.snapshot import snapshot as snapshot
from mnistkit.runs.folder.store import RunStore as RunStore
from mnistkit.runs.folder.supervisor import supervise as supervise

__all__ = [
    "CappedLog",
    "FolderBackend",
    "Limits",
    "Owner",
    "RunLifecycle",
    "RunStore",
    "carry_out",
    "pack",
    "snapshot",
    "supervise",
    "unpack",
]
