"""The server's front: MONAI Label's application behind checks, with answers of one line for whatever is wrong."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Annotated

import monailabel.endpoints.activelearning as activelearning
import monailabel.endpoints.datastore as datastore
import monailabel.endpoints.infer as infer
import monailabel.endpoints.scoring as scoring
import monailabel.endpoints.session as session
import monailabel.endpoints.train as train
from fastapi import BackgroundTasks, Body, File, Form, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from monailabel.app import app
from monailabel.config import settings
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.utils.app import app_instance

from common.errors import InputError

from .app import options_of
from .guard import Guard
from .requests import ORIGINS, RefusedError, is_name, parameters, shown

IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha", ".dcm", ".png", ".jpg")
LABELS = (".nii.gz", ".nii", ".nrrd")
CONTROLLED = {
    "model",
    "image",
    "session",
    "uploaded",
    "id",
    "label",
    "save_label",
    "label_tag",
    "strategy",
    "bundle_path",
}
_LOG = logging.getLogger(__name__)


def refusal(status: int, reason: str) -> JSONResponse:
    """An answer of one line."""
    return JSONResponse({"detail": " ".join(str(reason).split())}, status)


def refused(error: RefusedError) -> HTTPException:
    return HTTPException(error.status, str(error))


def known_image(id: str) -> None:
    """404 for an image that is not among the studies."""
    if not app_instance().datastore().get_image_uri(id):
        raise HTTPException(404, f"{shown(id)}: no such image among the studies")


def params_of(text: str | None) -> dict:
    """What a form says beside its files, without what the address says."""
    try:
        return {key: value for key, value in parameters(text).items() if key not in CONTROLLED}
    except RefusedError as error:
        raise refused(error) from None


def ending_of(file: UploadFile, known: tuple[str, ...], what: str) -> None:
    name = file.filename or ""
    if not name.lower().endswith(known):
        raise HTTPException(422, f"{what} {shown(name)}: expected a file that ends in one of {', '.join(known)}")


@app.post("/infer/{model}")
def segment(
    background_tasks: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    output: infer.ResultType | None = None,
):
    given, instance = params_of(params), app_instance()
    options_of(instance.model(model), given)
    if output is infer.ResultType.dicom_seg:
        raise HTTPException(422, "output dicom_seg: needs studies in DICOMweb; expected image, json or all")
    if file is not None:
        ending_of(file, IMAGES, "file")
        given["uploaded"] = True
    elif session_id:
        if not instance.sessions().get_session(session_id):
            raise HTTPException(404, f"session {shown(session_id)}: no such session; it may have expired")
    elif image:
        known_image(image)
    else:
        raise HTTPException(422, "which image? expected image, session_id or a file")
    said = json.dumps(given)
    return infer.run_inference(background_tasks, model, image, session_id, said, file, None, output)


@app.put("/datastore/label")
def save_label(
    background_tasks: BackgroundTasks,
    image: str,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = "final",
):
    known_image(image)
    try:
        given = parameters(params)
    except RefusedError as error:
        raise refused(error) from None
    ending_of(label, LABELS, "label")
    return datastore.save_label(background_tasks, image, json.dumps(given), tag or "final", label)


@app.get("/datastore/label/info")
def label_info(label: str, tag: str):
    if not app_instance().datastore().get_label_uri(label, tag):
        raise HTTPException(404, f"{shown(label)}: no label of it with the tag {shown(tag)}")
    return datastore.get_label_info(label, tag)


@app.post("/activelearning/{strategy}")
def next_sample(strategy: str, params: Annotated[dict | None, Body()] = None):
    instance = app_instance()
    if strategy not in instance.info()["strategies"]:
        raise HTTPException(
            404, f"{shown(strategy)}: no such strategy; there are {', '.join(instance.info()['strategies'])}"
        )
    named = {key: value for key, value in (params or {}).items() if key in ("model", "client_id")}
    given = {key: value for key, value in named.items() if value is not None}
    if not all(isinstance(value, str) for value in given.values()):
        raise HTTPException(422, "model: expected the name of one of the models")
    return activelearning.sample(strategy, given)


def start_training(model: str, params: dict | None, enqueue: bool) -> dict:
    """Queue a training; 404 and 422 before anything runs, 429 while one is going on."""
    instance = app_instance()
    served = instance.model(model)
    options_of(served, params or {}, training=True)
    instance.datastore().refresh()
    if not instance.ids(served)[0]:
        raise HTTPException(422, f"{served.name}: no image has a label of this model yet; label at least one")
    given = {key: value for key, value in (params or {}).items() if key not in CONTROLLED}
    return train.run_model(served.name, given, False, enqueue)


@app.post("/train/{model}")
def train_model(model: str, params: Annotated[dict | None, Body()] = None, enqueue: bool = False):
    return start_training(model, params, enqueue)


@app.post("/train/")
def train_only_model(params: Annotated[dict | None, Body()] = None):
    names = list(app_instance().served)
    if len(names) > 1:
        raise HTTPException(409, f"which model? train one of {', '.join(names)}")
    own = (params or {}).get(names[0])
    return {
        names[0]: {"result": start_training(names[0], own if isinstance(own, dict) else params, False), "detail": None}
    }


@app.post("/scoring/{method}")
def score(method: str):
    return scoring.run_method(app_instance().model(method).name, {}, False)


@app.put("/session/")
def new_session(
    background_tasks: BackgroundTasks,
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: int = 0,
):
    if uncompress:
        raise HTTPException(422, "uncompress: archives are not taken; send the files themselves")
    for file in files:
        if not is_name(file.filename or ""):
            raise HTTPException(422, f"file {shown(file.filename or '')}: expected a name without folders")
    return session.create_session(background_tasks, False, max(0, min(expiry, 24 * 3600)), files)


@app.exception_handler(InputError)
@app.exception_handler(RefusedError)
@app.exception_handler(MONAILabelException)
def wrong(request: Request, error: Exception) -> JSONResponse:
    return refusal(getattr(error, "status", 422), getattr(error, "msg", None) or str(error))


@app.exception_handler(RequestValidationError)
def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return refusal(422, f"{where or 'request'}: {first['msg']}")


@app.exception_handler(Exception)
def failed(request: Request, error: Exception) -> JSONResponse:
    _LOG.exception("request failed", exc_info=error)
    return refusal(500, f"{type(error).__name__}; the log of the server says more")


def _first(count: int) -> None:
    """Put the routes made here in front of those of the same address."""
    routes = app.router.routes
    routes[:] = [*routes[-count:], *routes[:-count]]


_first(8)
_limit = json.loads((Path(settings.MONAI_LABEL_APP_DIR) / "serve.json").read_text(encoding="utf-8"))["limit"]
_origins = tuple(os.environ.get(ORIGINS, "").split())
app.user_middleware[:] = [
    part for part in app.user_middleware if part.cls is not CORSMiddleware
]  # which lets all pages read
app.add_middleware(CORSMiddleware, allow_origins=_origins, allow_methods=["*"], allow_headers=["*"])
app.add_middleware(Guard, limit=_limit, origins=_origins)
