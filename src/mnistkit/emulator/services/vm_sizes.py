"""The sizes of virtual machines that clusters can be made of: the usual ones."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from mnistkit.emulator.routing import Refusal

__all__ = ["VM_SIZES", "VmSize", "find_vm_size"]


@frozen
class VmSize:
    """A size.

    Attributes:
        name: As Azure writes it.
        family: Whose quota it counts against.
        cpus: Virtual cores.
        gpus: Graphics cards.
        memory_gb: Gigabytes of memory.
        disk_mb: Megabytes of temporary disk.
    """

    name: str
    family: str
    cpus: int
    gpus: int
    memory_gb: float
    disk_mb: int

    def shown(self) -> dict[str, Any]:
        """Return it in the shape of Azure's list."""
        return {
            "name": self.name,
            "family": self.family,
            "vCPUs": self.cpus,
            "gpus": self.gpus,
            "memoryGB": self.memory_gb,
            "maxResourceVolumeMB": self.disk_mb,
            "lowPriorityCapable": True,
            "premiumIO": False,
        }

    def quota_error(self) -> dict[str, Any]:
        """Return the error of a cluster that can't have a node of this size."""
        text = f"The quota of cores of {self.family} in this region doesn't allow for one more node of {self.name}."
        return {"code": "ClusterCoreQuotaReached", "message": text}


VM_SIZES = (
    VmSize("STANDARD_D1_V2", "standardDv2Family", 1, 0, 3.5, 51200),
    VmSize("STANDARD_D2_V2", "standardDv2Family", 2, 0, 7, 102400),
    VmSize("STANDARD_D3_V2", "standardDv2Family", 4, 0, 14, 204800),
    VmSize("STANDARD_D4_V2", "standardDv2Family", 8, 0, 28, 409600),
    VmSize("STANDARD_D11_V2", "standardDv2Family", 2, 0, 14, 102400),
    VmSize("STANDARD_D12_V2", "standardDv2Family", 4, 0, 28, 204800),
    VmSize("STANDARD_DS1_V2", "standardDSv2Family", 1, 0, 3.5, 7168),
    VmSize("STANDARD_DS2_V2", "standardDSv2Family", 2, 0, 7, 14336),
    VmSize("STANDARD_DS3_V2", "standardDSv2Family", 4, 0, 14, 28672),
    VmSize("STANDARD_DS4_V2", "standardDSv2Family", 8, 0, 28, 57344),
    VmSize("STANDARD_DS11_V2", "standardDSv2Family", 2, 0, 14, 28672),
    VmSize("STANDARD_DS12_V2", "standardDSv2Family", 4, 0, 28, 57344),
    VmSize("STANDARD_D2S_V3", "standardDSv3Family", 2, 0, 8, 16384),
    VmSize("STANDARD_D4S_V3", "standardDSv3Family", 4, 0, 16, 32768),
    VmSize("STANDARD_D8S_V3", "standardDSv3Family", 8, 0, 32, 65536),
    VmSize("STANDARD_E4S_V3", "standardESv3Family", 4, 0, 32, 65536),
    VmSize("STANDARD_E8S_V3", "standardESv3Family", 8, 0, 64, 131072),
    VmSize("STANDARD_F2S_V2", "standardFSv2Family", 2, 0, 4, 16384),
    VmSize("STANDARD_F4S_V2", "standardFSv2Family", 4, 0, 8, 32768),
    VmSize("STANDARD_F8S_V2", "standardFSv2Family", 8, 0, 16, 65536),
    VmSize("STANDARD_F16S_V2", "standardFSv2Family", 16, 0, 32, 131072),
    VmSize("STANDARD_NC6", "standardNCFamily", 6, 1, 56, 389120),
    VmSize("STANDARD_NC6S_V3", "standardNCSv3Family", 6, 1, 112, 344064),
    VmSize("STANDARD_NC4AS_T4_V3", "standardNCASv3_T4Family", 4, 1, 28, 180224),
)


def find_vm_size(name: str) -> VmSize:
    """Return the size of that name, in whatever case.

    Raises:
        Refusal: 400, if the emulator has none.
    """
    for size in VM_SIZES:
        if size.name == name.upper():
            return size
    names = ", ".join(size.name for size in VM_SIZES)
    raise Refusal(400, f"There is no VM size {name!r} in this region. The emulator has {names}.", code="InvalidVmSize")
