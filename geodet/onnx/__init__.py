"""ONNX: export a model, and detect with an exported one."""
