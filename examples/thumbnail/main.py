"""An image in, its thumbnail out: at most 128 pixels a side, PNG where it may be transparent, else JPEG.

curl --data-binary @photo.jpg -H 'content-type: image/jpeg' .../function/thumbnail > small.jpg
"""

import base64
import io

from PIL import Image, ImageOps, UnidentifiedImageError

SIDE = 128


def handler(event, context):
    body = event.get("body", "")
    data = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        return {"statusCode": 415, "body": f'{{"error": "This is no image that can be read: {type(error).__name__}"}}'}
    image.thumbnail((SIDE, SIDE))
    return answer(image)


def answer(image):
    is_transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    name = "PNG" if is_transparent else "JPEG"
    output = io.BytesIO()
    image.convert("RGBA" if is_transparent else "RGB").save(output, name)
    return {
        "statusCode": 200,
        "headers": {"content-type": f"image/{name.lower()}", "x-size": f"{image.width}x{image.height}"},
        "body": base64.b64encode(output.getvalue()).decode(),
        "isBase64Encoded": True,
    }
