def f(m): return m.go(3)+m.k


# --- test
from unittest.mock import Mock
m=Mock()
m.go.return_value=4
m.k=1
assert f(m)==5
m.go.assert_called_once_with(3)
