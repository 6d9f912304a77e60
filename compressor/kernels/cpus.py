"""The CPUs that kernels are compiled for."""

import platform
from pathlib import Path

# Features that the x86-64 psABI requires for levels 2 and 3, as /proc/cpuinfo spells them.
V2_FLAGS = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
V3_FLAGS = frozenset(V2_FLAGS | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})

# CPUs by LLVM's names, the best first. Code for the last one runs anywhere.
X86_64_V3 = "x86-64-v3"
CPUS = {"x86_64": (X86_64_V3, "generic")}.get(platform.machine(), ("generic",))


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the flags of the first CPU that Linux lists; none if it lists none."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), frozenset())


def best_cpu(flags: frozenset[str]) -> str:
    """Return the best of CPUS that a CPU with these flags can run."""
    return next(cpu for cpu in CPUS if cpu != X86_64_V3 or flags >= V3_FLAGS)


def is_fused(cpu: str | None) -> bool:
    """Return whether code for a CPU, None for this machine's, has a multiply-add that rounds once."""
    if platform.machine() != "x86_64":
        return True
    return cpu == X86_64_V3 or (cpu != "generic" and "fma" in cpu_flags())
