"""Raw mode: size and mean colour of a picture, sent as a form field or as the body itself."""

import io

from PIL import Image, ImageStat, UnidentifiedImageError

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    Image.init()


@rawhttp
def run(request: AMLRequest):
    if request.method != "POST":
        return AMLResponse(
            {"error": "send a picture with POST"}, 405, {"Allow": "POST"}, json_str=True
        )
    # Before the form is looked at: that would consume a body sent as a form by mistake,
    # as curl --data-binary does.
    content = request.get_data()
    if upload := request.files.get("image"):
        content = upload.read()
    try:
        picture = Image.open(io.BytesIO(content)).convert("RGB")
    except UnidentifiedImageError:
        return AMLResponse({"error": "this is no picture"}, 400, json_str=True)
    return {
        "width": picture.width,
        "height": picture.height,
        "mean_rgb": [round(value) for value in ImageStat.Stat(picture).mean],
    }
