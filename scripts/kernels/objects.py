"""Compile every kernel with Numba, for one CPU, to one object file: python -m scripts.kernels.objects OBJECT PREFIX

The CPU is $NUMBA_CPU_NAME, with the features $NUMBA_CPU_FEATURES. Each kernel becomes a function, PREFIX_ and its name
in the library, with the calling convention of Numba (see `extension`); nothing else is visible. Print as JSON, by
name, the signatures and whether the kernels release the GIL.
"""

import json
import os
import sys
from pathlib import Path

import llvmlite.binding as llvm

from compressor import kernels
from compressor.kernels import jit, library

# What an object file may refer to, and why it can be called: nothing of Numba's run-time, which a kernel that could
# raise or allocate would need.
ALLOWED = {
    "memcpy": "the C library; LLVM makes it of long copies",
    "memset": "the C library; LLVM makes it of long fills",
    "memmove": "the C library; LLVM makes it of copies that may overlap",
    "sqrtf": "the C library; IEEE 754 says what it returns, so that all machines agree",
}


def compiled(prefix: str) -> tuple[llvm.ModuleRef, dict[str, tuple[str, bool]]]:
    """Return one module with all kernels, and by name their signatures and whether they release the GIL."""
    kernels.import_all()
    whole, signatures = llvm.parse_assembly(""), {}
    for dispatcher, signature, releases_gil in jit.declared:
        (overload,) = dispatcher.overloads.values()
        module = llvm.parse_assembly(overload.library.get_llvm_str())
        name = library.qualified_name(dispatcher.py_func)
        signatures[name] = (signature, releases_gil)
        for value in (*module.functions, *module.global_variables):
            if value.name == overload.fndesc.llvm_func_name:
                value.name, value.linkage = f"{prefix}_{name}", "external"
            elif not value.is_declaration:
                value.linkage = "internal"
        whole.link_in(module)
    return whole, signatures


def without_unused(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Remove what no kernel calls: Numba makes wrappers for the interpreter."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))


def main(made: str, prefix: str) -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=os.environ["NUMBA_CPU_NAME"],
        features=os.environ["NUMBA_CPU_FEATURES"],
        opt=3,
        reloc="pic",
        codemodel="default",
    )
    module, signatures = compiled(prefix)
    without_unused(module, machine)
    module.verify()
    if any(".picklebuf." in value.name for value in module.global_variables):  # the arguments of an exception
        sys.exit("a kernel can raise")
    foreign = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")} - {*ALLOWED}
    if foreign:
        sys.exit(f"kernels call {', '.join(sorted(foreign))}")
    Path(made).write_bytes(machine.emit_object(module))
    json.dump(signatures, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
