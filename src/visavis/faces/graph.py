"""Detectors are published for one picture size; here their graphs are opened to any size and number of pictures."""

from __future__ import annotations

from pathlib import Path


def any_size(source: Path) -> bytes:
    """The ONNX file with symbolic batch, height and width, and with its weights as constants instead of inputs."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(source))
    graph = model.graph
    constants = {entry.name: entry for entry in graph.initializer}
    (picture,) = [entry for entry in graph.input if entry.name not in constants]
    del graph.input[:]
    del graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(picture.name, TensorProto.FLOAT, ["batch", 3, "height", "width"]))
    for node in graph.node:
        # A fixed batch of 1 in a reshape becomes 0: "as in the input".
        if node.op_type == "Reshape" and node.input[1] in constants:
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            shape[0] = 0
            constants[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
    outputs = list(graph.output)
    del graph.output[:]
    for output in outputs:
        fixed = [dim.dim_value for dim in output.type.tensor_type.shape.dim]
        # Rows of numbers [batch, places, numbers] or maps [batch, numbers, height, width].
        free: list[str | int] = ["batch", f"{output.name}_places", fixed[-1]]
        if len(fixed) == 4:
            free = ["batch", fixed[1], f"{output.name}_height", f"{output.name}_width"]
        graph.output.append(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, free))
    model.ir_version = max(model.ir_version, 4)  # from 4 on a weight need not be an input
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
