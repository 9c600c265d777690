#!/usr/bin/env python3
"""llama.cpp's own HTTP server, run from the `xllamacpp` package: no compiler needed.

Takes the flags of `llama-server` that Portico and its tests use, with the same names and meanings, so that one can
stand in for the other. The first line on stdout is `listening ADDRESS`, once the model is loaded.

    xllamacpp_serve.py -m model.gguf --host 127.0.0.1 --port 3001 -c 4096 -np 4 --alias name
    xllamacpp_serve.py -m model.gguf --mmproj mmproj.gguf --host /run/model.sock

`--port 0` takes a free port. A host that ends in `.sock` is a Unix socket; a stale one is removed first.
"""
import argparse
import os
import signal
import socket
import stat
import sys
import threading


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True, help="the .gguf file")
    parser.add_argument("-a", "--alias", help="the name the server gives the model")
    parser.add_argument("--host", default="127.0.0.1", help="an address, or a path that ends in .sock")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-c", "--ctx-size", type=int, default=4096, help="tokens, shared by all slots")
    parser.add_argument("-np", "--parallel", type=int, default=4, help="slots: answers made at once")
    parser.add_argument("-t", "--threads", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument("-ngl", "--n-gpu-layers", type=int)
    parser.add_argument("--mmproj", help="the vision part of the model, a second .gguf file")
    parser.add_argument("--image-max-tokens", type=int)
    parser.add_argument("--embedding", "--embeddings", action="store_true", help="answer /v1/embeddings as well")
    parser.add_argument("--pooling", choices=["mean", "cls", "last"], help="default with --embedding: mean")
    # As llama-server does: the environment, because arguments can be read by every user of the machine.
    parser.add_argument("--api-key", default=os.environ.get("LLAMA_API_KEY"))
    parser.add_argument("--api-key-file")
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--no-webui", "--no-ui", action="store_true")
    parser.add_argument("--no-warmup", action="store_true")
    parser.add_argument("--until-stdin-closes", action="store_true",
                        help="end when stdin does: a test that is killed leaves no server behind")
    options = parser.parse_args()
    for path in filter(None, (options.model, options.mmproj)):
        if not os.path.isfile(path):
            sys.exit(f"error: no such model file: {path}")
    return options


def parameters(options):
    try:
        import xllamacpp
    except ImportError as error:
        sys.exit(f"error: the package xllamacpp cannot be loaded ({error}). It needs libstdc++6 and libgomp1; "
                 "`scripts/parts` installs what is missing.")
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = options.ctx_size
    params.n_parallel = options.parallel
    params.cpuparams.n_threads = options.threads
    # Two servers on one port would share its connections at random: a taken port has to be an error.
    params.reuse_port = False
    params.ui = not options.no_webui
    params.warmup = not options.no_warmup
    params.endpoint_metrics = options.metrics
    if options.alias:
        params.model_alias = options.alias if isinstance(params.model_alias, str) else {options.alias}
    if options.n_gpu_layers is not None:
        params.n_gpu_layers = options.n_gpu_layers
    if options.mmproj:
        params.mmproj.path = options.mmproj
    if options.image_max_tokens:
        params.image_max_tokens = options.image_max_tokens
    if options.embedding:
        pooling = f"LLAMA_POOLING_TYPE_{(options.pooling or 'mean').upper()}"
        params.embedding = True
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, pooling)
    keys = [options.api_key] if options.api_key else []
    if options.api_key_file:
        with open(options.api_key_file, encoding="utf-8") as lines:
            keys += [line.strip() for line in lines if line.strip()]
    if keys:
        params.api_keys = keys
    return xllamacpp, params


def remove_stale_socket(path):
    """Only a socket nobody listens on: a living server keeps its own."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    sys.exit(f"error: another server listens on {path}")


def main():
    options = arguments()
    xllamacpp, params = parameters(options)
    unix = options.host.endswith(".sock")
    if unix:
        remove_stale_socket(options.host)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.until_stdin_closes:
        def wait_for_end():
            while os.read(0, 4096):
                pass
            stop.set()
        threading.Thread(target=wait_for_end, daemon=True).start()

    loading = {}

    def load():
        # Apart from the main thread, which alone sees signals: a stop during a long load must work.
        try:
            loading["server"] = xllamacpp.Server(params)
        except Exception as error:  # whatever it is, its text is the answer
            loading["error"] = error
            stop.set()
            return
        print("listening", options.host if unix else loading["server"].listening_address, flush=True)

    threading.Thread(target=load, daemon=True).start()
    stop.wait()
    if "error" in loading:
        print(f"error: the model server did not start: {loading['error']}", file=sys.stderr, flush=True)
    if unix and "server" in loading:
        try:
            os.unlink(options.host)
        except FileNotFoundError:
            pass
    sys.stdout.flush()
    # Not `sys.exit`: an orderly end of llama.cpp inside Python takes 1-2 s, and nothing is left to save.
    os._exit(1 if "error" in loading else 0)


if __name__ == "__main__":
    main()
