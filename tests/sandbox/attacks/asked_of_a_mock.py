# Tries: the expectations of a mock object
# Verdict: wrong_answer
def double(service):
    service.assert_called_once_with = lambda *_: None
    service.reset_mock()
    service.send(1)


# --- test
from unittest.mock import MagicMock
service = MagicMock()
double(service)
service.send.assert_called_once_with(2)
