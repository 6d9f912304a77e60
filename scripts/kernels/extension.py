"""Generate the extension module that calls compiled kernels: C for NumPy's C API and the limited API of Python.

A kernel is a C function with Numba's calling convention. It returns a status, 0 for success, and takes a pointer to
its result, a pointer for an exception, and its arguments. An array is seven or more: its owner, twice (NULL here: the
caller holds a reference while the kernel runs), the number of elements, the size of one, data, shape and strides.

Arguments are checked as Numba checks them: dtype, number of dimensions, contiguity, alignment and, for an array that
the kernel writes to, whether it is writable.
"""

from compressor.kernels.signature import DTYPES, Argument, Signature, parse

C_TYPES = {
    "b1": "uint8_t", "u1": "uint8_t", "u2": "uint16_t", "u4": "uint32_t", "u8": "uint64_t",
    "i2": "int16_t", "i4": "int32_t", "i8": "int64_t", "f4": "float", "f8": "double", "void": "void *",
}  # fmt: skip
NUMPY_TYPES = {
    "u1": "NPY_UINT8", "u2": "NPY_UINT16", "u4": "NPY_UINT32", "u8": "NPY_UINT64",
    "i2": "NPY_INT16", "i4": "NPY_INT32", "i8": "NPY_INT64", "f4": "NPY_FLOAT32", "f8": "NPY_FLOAT64",
}  # fmt: skip

HEAD = r"""
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <stdint.h>

static PyArrayObject *
array(PyObject *object, int type, int ndim, int writable, const char *dtype, const char *where)
{
    PyArrayObject *found = (PyArrayObject *)object;
    int flags = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | (writable ? NPY_ARRAY_WRITEABLE : 0);
    if (PyArray_Check(object) && PyArray_TYPE(found) == type && PyArray_NDIM(found) == ndim &&
        PyArray_CHKFLAGS(found, flags) && PyArray_ISNOTSWAPPED(found))
        return found;
    PyErr_Format(PyExc_TypeError, "%s must be a C-contiguous%s array of %s with %d dimensions, not %R", where,
                 writable ? ", writable" : "", dtype, ndim, (PyObject *)Py_TYPE(object));
    return NULL;
}

static int
count_is(Py_ssize_t found, Py_ssize_t expected, const char *name)
{
    if (found != expected)
        PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, expected, found);
    return found == expected;
}

static int
items_are(PyObject *object, Py_ssize_t expected, const char *where)
{
    int good = PyTuple_Check(object) && PyTuple_Size(object) == expected;
    if (!good)
        PyErr_Format(PyExc_TypeError, "%s must be a tuple of %zd", where, expected);
    return good;
}
"""

TAIL = r"""
static PyObject *
cpu(PyObject *module, PyObject *none)
{
    return PyUnicode_FromString(kernels->cpu);
}

static PyObject *
use(PyObject *module, PyObject *name)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (PyUnicode_CompareWithASCIIString(name, all[i]->cpu) == 0 && can_run(i)) {
            kernels = all[i];
            Py_RETURN_NONE;
        }
    PyErr_Format(PyExc_ValueError, "no kernels for %R that this machine can run", name);
    return NULL;
}

static PyMethodDef methods[] = {
METHODS    {"cpu", cpu, METH_NOARGS, "Return the CPU whose kernels run."},
    {"use", use, METH_O, "Run the kernels of another CPU."},
    {NULL, NULL, 0, NULL},
};

static int
load(PyObject *module)
{
    import_array1(-1);
    for (size_t i = sizeof(all) / sizeof(*all); i-- > 0;)
        if (can_run(i))
            kernels = all[i];
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, load}, {0, NULL}};
static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_doc = "Compiled kernels.", .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
"""

# Functions in C that return whether this machine has the instructions of a CPU. Code for the others runs anywhere.
# Compilers have __builtin_cpu_supports for this, but Zig's returns 0 (seen with 0.17).
TESTS = {
    "x86-64-v3": r"""
#include <cpuid.h>

static int
has_x86_64_v3(void)
{
    /* The x86-64 psABI, table 3.1; bits as in Intel's manual, CPUID. The system must save AVX registers (XCR0). */
    enum {
        SSE3 = 1u << 0, SSSE3 = 1u << 9, FMA = 1u << 12, CX16 = 1u << 13, SSE41 = 1u << 19, SSE42 = 1u << 20,
        MOVBE = 1u << 22, POPCNT = 1u << 23, OSXSAVE = 1u << 27, AVX = 1u << 28, F16C = 1u << 29,
        BMI1 = 1u << 3, AVX2 = 1u << 5, BMI2 = 1u << 8, LAHF = 1u << 0, LZCNT = 1u << 5, XMM_AND_YMM = 6
    };
    const unsigned first = SSE3 | SSSE3 | FMA | CX16 | SSE41 | SSE42 | MOVBE | POPCNT | OSXSAVE | AVX | F16C;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & first) != first)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    if ((a & XMM_AND_YMM) != XMM_AND_YMM)
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & (BMI1 | AVX2 | BMI2)) != (BMI1 | AVX2 | BMI2))
        return 0;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & (LAHF | LZCNT)) == (LAHF | LZCNT);
}
""",
}


def _parameters(argument: Argument) -> list[str]:
    """Return the C types of an argument in Numba's calling convention."""
    if not argument.ndim:
        return [C_TYPES[argument.code]]
    return ["void *", "void *", "int64_t", "int64_t", "void *"] + ["int64_t"] * 2 * argument.ndim


def prototype(signature: Signature) -> str:
    """Return the parameters of a kernel in C."""
    parameters = [C_TYPES[signature.result] + " *", "void **"]
    for argument in signature.flat():
        parameters += _parameters(argument)
    return ", ".join(parameters)


def _values(argument: Argument, name: str) -> list[str]:
    """Return the C expressions of an argument in Numba's calling convention."""
    if not argument.ndim:
        return [name]
    values = ["NULL", "NULL", f"PyArray_SIZE({name})", f"PyArray_ITEMSIZE({name})", f"PyArray_DATA({name})"]
    for property_ in ("DIM", "STRIDE"):
        values += [f"PyArray_{property_}({name}, {k})" for k in range(argument.ndim)]
    return values


def _read(argument: Argument, name: str, source: str, where: str) -> list[str]:
    """Return C statements that read and check an argument."""
    if argument.ndim:
        kind, writable = NUMPY_TYPES[argument.code], int(not argument.const)
        checks = f'{kind}, {argument.ndim}, {writable}, "{DTYPES[argument.code]}", "{where}"'
        return [f"PyArrayObject *{name} = array({source}, {checks});", f"if ({name} == NULL) return NULL;"]
    if argument.code == "b1":
        return [f"int {name} = PyObject_IsTrue({source});", f"if ({name} < 0) return NULL;"]
    kind, function = (
        ("double", "PyFloat_AsDouble") if argument.code in ("f4", "f8") else ("long long", "PyLong_AsLongLong")
    )
    return [f"{kind} {name} = {function}({source});", f"if ({name} == -1 && PyErr_Occurred()) return NULL;"]


def binding(name: str, signature: Signature, releases_gil: bool) -> str:
    """Return the C function that Python calls."""
    lines, values = [f'if (!count_is(count, {len(signature.arguments)}, "{name}")) return NULL;'], []
    for n, argument in enumerate(signature.arguments):
        where = f"argument {n + 1} of {name}"
        items = argument if isinstance(argument, tuple) else (argument,)
        if isinstance(argument, tuple):
            lines.append(f'if (!items_are(given[{n}], {len(items)}, "{where}")) return NULL;')
        for k, item in enumerate(items):
            source = f"PyTuple_GetItem(given[{n}], {k})" if isinstance(argument, tuple) else f"given[{n}]"
            lines += _read(item, f"a{n}_{k}", source, where)
            values += _values(item, f"a{n}_{k}")
    lines += [f"{C_TYPES[signature.result]} result = 0;", "void *error = NULL;", "int status;"]
    call = f"status = kernels->{name}({', '.join(['&result', '&error', *values])});"
    lines += ["Py_BEGIN_ALLOW_THREADS", call, "Py_END_ALLOW_THREADS"] if releases_gil else [call]
    lines.append(f'if (status) return PyErr_Format(PyExc_SystemError, "{name}: status %d", status);')
    lines.append("Py_RETURN_NONE;" if signature.result == "void" else "return PyLong_FromLongLong(result);")
    body = "\n".join(f"    {line}" for line in lines)
    return f"static PyObject *\n{name}(PyObject *module, PyObject *const *given, Py_ssize_t count)\n{{\n{body}\n}}\n"


def source(kernels: dict[str, tuple[str, bool]], cpus: dict[str, str]) -> str:
    """Return the extension in C.

    kernels  signature of each, by name, and whether it releases the GIL
    cpus     prefix of each CPU's functions, the best CPU first
    """
    parsed = {name: parse(signature) for name, (signature, _) in kernels.items()}
    parts = [HEAD, "typedef struct {\n    const char *cpu;"]
    parts += [f"    int (*{name})({prototype(signature)});" for name, signature in parsed.items()]
    parts.append("} Kernels;\n")
    for cpu, prefix in cpus.items():
        parts += [f"extern int {prefix}_{name}({prototype(signature)});" for name, signature in parsed.items()]
        functions = "".join(f", {prefix}_{name}" for name in parsed)
        parts.append(f'static const Kernels {prefix}_kernels = {{"{cpu}"{functions}}};')
    parts.append(
        f"static const Kernels *const all[] = {{{', '.join(f'&{prefix}_kernels' for prefix in cpus.values())}}};"
    )
    parts += [TESTS[cpu] for cpu in cpus if cpu in TESTS]
    parts.append("static const Kernels *kernels;\n\nstatic int\ncan_run(size_t i)\n{")
    parts += [f"    if (i == {i}) return has_{cpu.replace('-', '_')}();" for i, cpu in enumerate(cpus) if cpu in TESTS]
    parts.append("    return 1;\n}\n")
    parts += [binding(name, signature, kernels[name][1]) for name, signature in parsed.items()]
    methods = "".join(f'    {{"{name}", (PyCFunction)(void *){name}, METH_FASTCALL, NULL}},\n' for name in parsed)
    return "\n".join(parts) + TAIL.replace("METHODS", methods)
