"""What waits for others: alone for a moment, in a crowd until it ends, never for long."""

import asyncio

from service.store.together import others_have_come


async def test_whoever_comes_within_the_moment_goes_along():
    waiting = ["first"]

    async def come():
        for number in range(3):
            await asyncio.sleep(0)
            waiting.append(str(number))

    coming = asyncio.create_task(come())
    await others_have_come(waiting)
    assert waiting == ["first", "0", "1", "2"]
    await coming


async def test_one_who_always_comes_holds_nobody_up_for_ever():
    waiting = []

    async def keep_coming():
        while True:
            waiting.append("one more")
            await asyncio.sleep(0)

    coming = asyncio.create_task(keep_coming())
    await asyncio.wait_for(others_have_come(waiting), 5)
    coming.cancel()


async def test_nobody_waits_for_nobody():
    await others_have_come([])
