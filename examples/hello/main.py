"""The smallest useful function: JSON in, JSON out."""


def handler(event, context):
    name = event.get("name", "world") if isinstance(event, dict) else "world"
    return {"message": f"Hello, {name}!", "version": context.function_version}
