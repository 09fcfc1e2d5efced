"""What tflite-micro lacks of the operators that move elements."""

from __future__ import annotations

from compress.tflite_records.file import BuiltinOperator, File, FileOperator, TensorType

_LARGEST_RANKS = {
    BuiltinOperator.STRIDED_SLICE: 4,
    BuiltinOperator.TRANSPOSE: 5,
    BuiltinOperator.BROADCAST_TO: 5,
}


def absent_in_micro(file: File, operator: FileOperator) -> str:
    """The form of an operator that does not exist in tflite-micro, or ''."""
    source, out = file.tensors[operator.inputs[0]], file.tensors[operator.outputs[0]]
    rank = max(len(source.shape), len(out.shape))
    if rank > _LARGEST_RANKS.get(operator.code, rank):
        return f"of {rank} axes does not exist there"
    match operator.code:
        case BuiltinOperator.TILE:
            return "does not exist there"
        case BuiltinOperator.GATHER if source.type == TensorType.INT16:
            return "on int16 does not exist there"
        case BuiltinOperator.STRIDED_SLICE:
            new = any(operator.options.get(f"{what}Mask", 0) for what in ("NewAxis", "Ellipsis"))
            fewer = file.tensors[operator.inputs[1]].shape != (len(source.shape),)
            return "of some axes, or with new ones, does not exist there" if new or fewer else ""
        case _:
            return ""
