import os


def handler(event, context):
    """Called for every request. `event` is the JSON body; what is returned becomes the answer."""
    name = event.get("name", "world") if isinstance(event, dict) else "world"
    print(f"greeting {name}, call {context.aws_request_id}")  # see it with `plat logs`
    return {"message": f"{os.environ['GREETING']}, {name}!"}
