# Tries: nothing: an event loop needs a pair of sockets and may have it
# Verdict: passed
import asyncio


async def later(x):
    await asyncio.sleep(0)
    return x + x


def double(x):
    return asyncio.run(later(x))
