import asyncio
async def f(x):
    await asyncio.sleep(0.01)
    return x*2
async def g():
    for i in range(3):
        yield i
        await asyncio.sleep(0)
class ACM:
    async def __aenter__(s): return 5
    async def __aexit__(s,*a): return False
async def bad(): raise KeyError('k')


# --- test
import asyncio
assert asyncio.run(f(2))==4
async def main():
    r=await asyncio.gather(f(1),f(2))
    o=[x async for x in g()]
    async with ACM() as q: pass
    try: await bad()
    except KeyError: pass
    return r,o,q,await f(5)
assert asyncio.run(main())==([2,4],[0,1,2],5,10)
import inspect
assert inspect.iscoroutinefunction(f)
