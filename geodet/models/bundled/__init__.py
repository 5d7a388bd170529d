"""The bundled models: a `.safetensors` file and its card each."""
