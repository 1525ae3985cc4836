from __future__ import annotations
def f(a: int, b: str = "x") -> bool: return True
# --- test
import typing
assert typing.get_type_hints(f) == {"a": int, "b": str, "return": bool}
