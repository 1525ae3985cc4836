async def f(x): return x+1


# --- test
import asyncio
assert asyncio.run(f(1))==2
