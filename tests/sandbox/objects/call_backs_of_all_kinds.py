import contextlib


def apply(call, *arguments):
    return call(*arguments)


def by(items, key):
    return sorted(items, key=key)


def rename(person):
    person.name = person.name.upper()
    person.greet = 'hi ' + person.hello('you')
    return person


def copy_lines(source, sink):
    for line in source:
        sink.write(line)
    with contextlib.suppress(ValueError):
        sink.seek(0)
    return sink.read()


def serve(service, ids):
    found = [service.get(number)['name'] for number in ids]
    service.log(len(found))
    return found


def draw(rng):
    return rng.randint(1, 6), rng.choice('ab')


def words(pattern, text):
    return pattern.findall(text)


def first(steps):
    return next(steps)


def keys(view):
    return sorted(view), 1 in view, len(view)


# --- test
import functools, io, itertools, operator, random, re
from unittest.mock import MagicMock
seen = []
apply(seen.append, 4)
assert seen == [4] and apply(functools.partial(lambda a, b: a - b, 5), 2) == 3
assert apply(functools.partial(int, base=2), '101') == 5 and apply(str.upper, 'a') == 'A' and apply(', '.join, ['a', 'b']) == 'a, b'
assert by([(1, 'b'), (2, 'a')], operator.itemgetter(1)) == [(2, 'a'), (1, 'b')] and by(['B', 'a'], str.lower) == ['a', 'B']
class Person:
    def __init__(self, name):
        self.name = name
    def hello(self, whom):
        return f'{self.name} greets {whom}'
    def __lt__(self, other):
        return self.name < other.name
person = Person('eve')
assert rename(person) is person and person.name == 'EVE' and person.greet == 'hi EVE greets you'
assert [each.name for each in by([Person('b'), Person('a')], None)] == ['a', 'b']
assert apply(Person, 'z').name == 'z'
assert copy_lines(io.StringIO('a\nb\n'), io.StringIO()) == 'a\nb\n'
service = MagicMock()
service.get.side_effect = lambda number: {'name': f'n{number}'}
assert serve(service, [1, 2]) == ['n1', 'n2']
service.log.assert_called_once_with(2)
one, other = random.Random(3), random.Random(3)
assert draw(one) == (other.randint(1, 6), other.choice('ab'))
assert words(re.compile(r'\w+'), 'a b') == ['a', 'b']
assert first(itertools.count(5)) == 5 and first(iter([7])) == 7 and first(x for x in 'q') == 'q'
assert keys({1: 2}.keys()) == ([1], True, 1)
