"""The run folder: one run as files, readable without mnistkit, which any backend may keep, ship and carry out."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backend": ["FolderBackend"],
        "capped_log": ["CappedLog"],
        "child": ["Limits"],
        "execution": ["carry_out"],
        "lifecycle": ["RunLifecycle"],
        "owner": ["Owner"],
        "packing": ["pack", "unpack"],
        "snapshot": ["snapshot"],
        "store": ["RunStore"],
        "supervisor": ["supervise"],
    },
)
