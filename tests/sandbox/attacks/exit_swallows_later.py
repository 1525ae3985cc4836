# Tries: an asynchronous context manager that suppresses the assertion within it
# Verdict: wrong_answer
class double:
    def __init__(self, x):
        pass

    async def __aenter__(self):
        return 0

    async def __aexit__(self, *_):
        return True


# --- test
import asyncio
async def main():
    async with double(3) as answer:
        assert answer == 5
asyncio.run(main())
