class Vector(list):
    def __add__(self, other):
        return Vector(a + b for a, b in zip(self, other))


class Mod(int):
    def __new__(cls, value):
        return int.__new__(cls, value % 7)

    def __add__(self, other):
        return Mod(int(self) + int(other))


class Caseless(str):
    def __eq__(self, other):
        return self.lower() == other.lower()

    def __hash__(self):
        return hash(self.lower())


# --- test
assert Vector([1, 2]) + Vector([3, 4]) == Vector([4, 6]) == [4, 6]
assert Mod(5) + Mod(4) == Mod(2) == 2
assert Caseless('A') == Caseless('a')
