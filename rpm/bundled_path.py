# Appended by the package: what the distribution does not have is bundled beside this file, where only our programs find it.
import sys as _sys
from pathlib import Path as _Path

_sys.path.insert(0, str(_Path(__file__).parent / "bundled"))
