"""Raw mode: says what can be seen of the request."""

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp


def init():
    pass


@rawhttp
def run(request: AMLRequest):
    print("run was called with " + request.method)
    return {
        "method": request.method,
        "path": request.path,
        "full_path": request.full_path,
        "args": request.args.to_dict(flat=False),
        "form": request.form.to_dict(flat=False),
        "files": {
            name: [[part.filename, part.stream.read().decode()] for part in parts]
            for name, parts in request.files.lists()
        },
        "body": request.get_data().decode("utf-8", "replace"),
    }
