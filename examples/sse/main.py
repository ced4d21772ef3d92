"""Server-sent events: an asynchronous generator, each item sent as it is made.

curl -N '.../function/sse?count=3&interval=0.5'
"""

import asyncio
import json
import time


async def handler(event, context):
    query = event.get("queryStringParameters", {})
    count, interval = int(query.get("count", 10)), float(query.get("interval", 1))
    yield {"statusCode": 200, "headers": {"content-type": "text/event-stream", "cache-control": "no-cache"}}
    for number in range(1, count + 1):
        data = json.dumps({"number": number, "of": count, "time": time.time()})
        yield f"id: {number}\nevent: tick\ndata: {data}\n\n"
        if number < count:
            await asyncio.sleep(interval)
