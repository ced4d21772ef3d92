"""A FastAPI app as it is: validated bodies, an OpenAPI page at /docs, and a websocket."""

from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field


@asynccontextmanager
async def lifespan(app):
    """Runs once per instance, before its first call; databases are opened here."""
    app.state.items = {"apple": 1.2}
    yield
    app.state.items.clear()


app = FastAPI(title="Shop", lifespan=lifespan)


class Item(BaseModel):
    name: str = Field(min_length=1)
    price: float = Field(gt=0)


@app.get("/items/{name}")
async def read(name: str):
    if name not in app.state.items:
        raise HTTPException(404, f"There is no {name}.")
    return {"name": name, "price": app.state.items[name]}


@app.post("/items", status_code=201)
async def create(item: Item):
    app.state.items[item.name] = item.price
    return item


@app.post("/size")
async def size(request: Request):
    """Reads the body as it comes: any size, little memory."""
    count = 0
    async for piece in request.stream():
        count += len(piece)
    return {"bytes": count}


@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass  # the caller has hung up
