"""Vector and bit operations that Numba does not have, as LLVM intrinsics.

Every address is computed by `address`, so that memory safety is decided in one place: with COMPRESSOR_KERNELS=safe each
load and store of `count` elements at `index` is checked against the array's size and raises IndexError, as Numba's own
indexing does. Without it nothing is checked, and the caller's docstring must say why it stays inside.
"""

from compressor.kernels.declare import SAFE, cgutils, intrinsic, ir, types

I1, I8, I16, I32, I64, F32, F64 = (
    ir.IntType(1),
    ir.IntType(8),
    ir.IntType(16),
    ir.IntType(32),
    ir.IntType(64),
    ir.FloatType(),
    ir.DoubleType(),
)


def vector(element, count):
    return ir.VectorType(element, count)


def splat(element, count, value):
    return ir.Constant(vector(element, count), [value] * count)


def address(context, builder, array_type, array, index, count):
    """Return a pointer to array.flat[index], from which `count` elements are about to be read or written."""
    view = context.make_array(array_type)(context, builder, array)
    if SAFE:
        end = builder.add(index, ir.Constant(I64, count))
        outside = builder.or_(
            builder.icmp_signed("<", index, ir.Constant(I64, 0)),
            builder.icmp_signed(">", end, view.nitems),
        )
        with builder.if_then(outside, likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("vector access outside the array",))
    return builder.gep(view.data, [index])


def load(context, builder, array_type, array, index, element, count):
    """Load `count` elements of `array` from flat `index` on, as one vector."""
    pointer = address(context, builder, array_type, array, index, count)
    return builder.load(builder.bitcast(pointer, vector(element, count).as_pointer()), align=1)


def store(context, builder, array_type, array, index, value):
    """Write the vector `value` to `array` from flat `index` on."""
    pointer = address(context, builder, array_type, array, index, value.type.count)
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=1)


def shuffle(builder, a, b, lanes):
    """Return lanes of `a` (0 .. n-1) and `b` (n .. 2n-1) in the order of `lanes`."""
    return builder.shuffle_vector(a, b, ir.Constant(vector(I32, len(lanes)), list(lanes)))


def call(builder, name, result, arguments):
    """Call the LLVM intrinsic `name`."""
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@intrinsic(prefer_literal=True)
def local_array(typing, count, dtype):
    """Return an array of `count` elements, a constant, on the stack of the kernel. Its content is undefined."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    array = types.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, arguments):
        element, length = context.get_data_type(array.dtype), ir.Constant(I64, count.literal_value)
        size = ir.Constant(I64, context.get_abi_sizeof(element))
        made = context.make_array(array)(context, builder)
        data = cgutils.alloca_once(builder, element, size=length)
        context.populate_array(made, data=data, shape=[length], strides=[size], itemsize=size, meminfo=None)
        return made._getvalue()

    return array(count, dtype), codegen


@intrinsic
def trailing_zeros(typing, word):
    """Count the zero bits below the lowest one bit of a uint64; 64 for 0."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(I1, 0))

    return types.uint64(types.uint64), codegen


@intrinsic
def count_ones(typing, word):
    """Count the one bits of a uint64."""

    def codegen(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen


@intrinsic
def leading_zeros(typing, word):
    """Count the zero bits above the highest one bit of a uint64; 64 for 0."""

    def codegen(context, builder, signature, arguments):
        return builder.ctlz(arguments[0], ir.Constant(I1, 0))

    return types.uint64(types.uint64), codegen


@intrinsic
def load_be64(typing, buffer, index):
    """Load eight bytes of a uint8 array as a big-endian uint64."""

    def codegen(context, builder, signature, arguments):
        pointer = address(context, builder, signature.args[0], arguments[0], arguments[1], 8)
        word = builder.load(builder.bitcast(pointer, I64.as_pointer()), align=1)
        return builder.bswap(word)

    return types.uint64(buffer, types.intp), codegen


@intrinsic
def store_be64(typing, buffer, index, word):
    """Write a uint64 as eight big-endian bytes into a uint8 array."""

    def codegen(context, builder, signature, arguments):
        pointer = address(context, builder, signature.args[0], arguments[0], arguments[1], 8)
        builder.store(builder.bswap(arguments[2]), builder.bitcast(pointer, I64.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(buffer, types.intp, types.uint64), codegen


@intrinsic
def copy32_find_ff(typing, target, to, source, start):
    """Copy 32 bytes from source[start] to target[to]. Return a bitmask of those that are 0xFF, first byte lowest."""

    def codegen(context, builder, signature, arguments):
        piece = load(context, builder, signature.args[2], arguments[2], arguments[3], I8, 32)
        store(context, builder, signature.args[0], arguments[0], arguments[1], piece)
        found = builder.icmp_unsigned("==", piece, splat(I8, 32, 255))
        return builder.zext(builder.bitcast(found, I32), I64)

    return types.uint64(target, types.intp, source, types.intp), codegen


@intrinsic
def nonzero_mask(typing, blocks, block):
    """Return a bitmask of the non-zero coefficients of row `block` of a (n, 64) int16 array, coefficient 0 lowest."""

    def codegen(context, builder, signature, arguments):
        index = builder.mul(arguments[1], ir.Constant(I64, 64))
        values = load(context, builder, signature.args[0], arguments[0], index, I16, 64)
        return builder.bitcast(builder.icmp_signed("!=", values, ir.Constant(vector(I16, 64), None)), I64)

    return types.uint64(blocks, types.intp), codegen


@intrinsic
def clear_block(typing, blocks, block):
    """Write zeros to row `block` of a (n, 64) int16 array."""

    def codegen(context, builder, signature, arguments):
        index = builder.mul(arguments[1], ir.Constant(I64, 64))
        store(context, builder, signature.args[0], arguments[0], index, ir.Constant(vector(I16, 64), None))
        return context.get_dummy_value()

    return types.void(blocks, types.intp), codegen


@intrinsic
def magnitude_mask(typing, blocks, block, least):
    """Return a bitmask of the coefficients of row `block` of a (n, 64) int16 array that are at least `least`
    (1 to 2^14) or at most `-least`, coefficient 0 lowest."""

    def codegen(context, builder, signature, arguments):
        index = builder.mul(arguments[1], ir.Constant(I64, 64))
        values = load(context, builder, signature.args[0], arguments[0], index, I16, 64)
        below = builder.trunc(builder.sub(arguments[2], ir.Constant(I64, 1)), I16)
        lanes = ir.Constant(vector(I16, 64), ir.Undefined)
        lanes = builder.insert_element(lanes, below, ir.Constant(I32, 0))
        lanes = builder.shuffle_vector(lanes, lanes, ir.Constant(vector(I32, 64), [0] * 64))
        # Values between -below and below are moved to 0 .. 2 below, all others above that.
        found = builder.icmp_unsigned(">", builder.add(values, lanes), builder.add(lanes, lanes))
        return builder.bitcast(found, I64)

    return types.uint64(blocks, types.intp, types.int64), codegen


@intrinsic
def magnitude_bits(typing, blocks, block, place):
    """Return a bitmask of the coefficients of row `block` of a (n, 64) int16 array whose magnitude has bit `place`
    (0 to 14) set, coefficient 0 lowest."""

    def codegen(context, builder, signature, arguments):
        index = builder.mul(arguments[1], ir.Constant(I64, 64))
        values = load(context, builder, signature.args[0], arguments[0], index, I16, 64)
        sign = builder.ashr(values, splat(I16, 64, 15))
        values = builder.sub(builder.xor(values, sign), sign)
        bit = builder.trunc(builder.shl(ir.Constant(I64, 1), arguments[2]), I16)
        lanes = builder.insert_element(ir.Constant(vector(I16, 64), ir.Undefined), bit, ir.Constant(I32, 0))
        lanes = builder.shuffle_vector(lanes, lanes, ir.Constant(vector(I32, 64), [0] * 64))
        return builder.bitcast(builder.icmp_signed("!=", builder.and_(values, lanes), splat(I16, 64, 0)), I64)

    return types.uint64(blocks, types.intp, types.int64), codegen


@intrinsic
def columns_and_mask(typing, blocks, block, columns):
    """Write 64 k + min(value + 32, 63) of coefficient k in row `block` of a (n, 64) int16 array to columns[k], uint16.

    Values below -32 wrap around and become 63 too. Return what `nonzero_mask` does.
    """

    def codegen(context, builder, signature, arguments):
        index = builder.mul(arguments[1], ir.Constant(I64, 64))
        values = load(context, builder, signature.args[0], arguments[0], index, I16, 64)
        moved, largest = builder.add(values, splat(I16, 64, 32)), splat(I16, 64, 63)
        column = builder.select(builder.icmp_unsigned("<", moved, largest), moved, largest)
        column = builder.add(column, ir.Constant(vector(I16, 64), [64 * k for k in range(64)]))
        store(context, builder, signature.args[2], arguments[2], ir.Constant(I64, 0), column)
        return builder.bitcast(builder.icmp_signed("!=", values, ir.Constant(vector(I16, 64), None)), I64)

    return types.uint64(blocks, types.intp, columns), codegen
