"""What is fuzzed: for each kind of document a valid one, how it is written, and who reads it.

Each target writes its files into a folder and returns the arguments of ``geodet``.
"""

import fuzz_models
import fuzz_tilesets
import fuzz_vectors
from fuzz_documents import TARGETS

__all__ = ["MODULES", "TARGETS"]

MODULES = (fuzz_models, fuzz_tilesets, fuzz_vectors)
