class Maker:
    def make(self):
        return lambda x: x + 1


maker = Maker()


# --- test
assert maker.make()(1) == 2
assert Maker().make()(2) == 3
