import array


def grow(a):
    a.append(3)


# --- test
import array
a = array.array('i', [1, 2])
grow(a)
assert a.tolist() == [1, 2, 3]
