import functools
import re
from http import HTTPStatus


def match(text):
    return re.match(r'(\w+)@', text)


def power():
    return functools.partial(pow, 2)


def status():
    return HTTPStatus.OK


# --- test
import functools, re
from http import HTTPStatus
assert isinstance(match('a@b'), re.Match) and match('a@b')[1] == 'a'
assert isinstance(power(), functools.partial) and power()(3) == 8
assert status() is HTTPStatus.OK and status() == 200
