"""A Flask app as it is: routes, templates, redirects. Nothing in it knows about the platform."""

from flask import Flask, jsonify, redirect, render_template_string, request, url_for

app = Flask(__name__)

PAGE = """<!doctype html>
<title>Notes</title>
<h1>Upper case, please</h1>
<form method="post" action="{{ url_for('shout') }}"><input name="text"><button>Shout</button></form>
"""


@app.get("/")
def home():
    return render_template_string(PAGE)


@app.post("/shout")
def shout():
    return jsonify(text=request.form["text"].upper())


@app.post("/size")
def size():
    """Reads the body as it comes: any size, little memory."""
    count = 0
    while piece := request.stream.read(65536):
        count += len(piece)
    return jsonify(bytes=count)


@app.get("/old")
def old():
    return redirect(url_for("home"))
