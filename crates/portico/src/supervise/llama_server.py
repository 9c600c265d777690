"""Serves one GGUF model with llama.cpp's own HTTP server out of the `xllamacpp` package.

It takes the flags of `llama-server` that it supports, in their own spelling, and refuses all others: a flag that is
ignored silently is worse than an error. The API key comes from the environment (LLAMA_API_KEY), because arguments can
be read by everybody on the machine. Run by Portico; can be run by hand for a test.
"""

import argparse
import os
import signal
import sys
import threading


def parse(arguments):
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False, description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("-m", "--model", required=True, help="the .gguf file")
    add("-a", "--alias", help="the name the model goes by")
    add("--host", default="127.0.0.1", help="an address, or a path that ends in .sock")
    add("--port", type=int, default=8080)
    add("-c", "--ctx-size", type=int, default=0, help="tokens of all slots together; 0: what the model was made for")
    add("-np", "--parallel", type=int, default=4, help="slots: requests that run at once; they share the context")
    add("-t", "--threads", type=int, help="for generation; default: the cores of this machine")
    add("-tb", "--threads-batch", type=int, help="for prompts")
    add("--threads-http", type=int)
    add("-b", "--batch-size", type=int)
    add("-ub", "--ubatch-size", type=int)
    add("-n", "--predict", "--n-predict", type=int, help="most tokens of one answer; -1: no limit")
    add("-ngl", "--gpu-layers", "--n-gpu-layers", type=int)
    add("-mm", "--mmproj", help="the projector that makes a vision model of it")
    add("--no-mmproj", action="store_true")
    add("--no-mmproj-offload", action="store_true")
    add("--image-min-tokens", type=int)
    add("--image-max-tokens", type=int)
    add("--embedding", "--embeddings", action="store_true")
    add("--pooling", choices=["none", "mean", "cls", "last", "rank"])
    add("--metrics", action="store_true")
    add("--slots", action="store_true")
    add("--no-slots", action="store_true")
    add("--no-webui", "--no-ui", action="store_true", help="it is off anyway")
    add("--jinja", action="store_true", help="it is on anyway")
    add("--no-warmup", action="store_true")
    add("--chat-template", help="a Jinja template, as text")
    add("--chat-template-file")
    add("-lv", "--verbosity", "--log-verbosity", type=int)
    options = parser.parse_args(arguments)
    for path in filter(None, (options.model, options.mmproj, options.chat_template_file)):
        if not os.path.isfile(path):
            parser.exit(1, f"error: no such file: {path}\n")
    return options


def parameters(options, xllamacpp):
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = [options.host]
    params.port = options.port
    # Two servers on one port would share its connections at random: a taken port has to be an error.
    params.reuse_port = False
    params.model_alias = {options.alias or os.path.basename(options.model)}
    key = os.environ.pop("LLAMA_API_KEY", "")
    params.api_keys = [key] if key else []
    params.n_ctx = options.ctx_size
    params.n_parallel = max(1, options.parallel)
    threads = options.threads or len(os.sched_getaffinity(0))
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = options.threads_batch or threads
    params.endpoint_metrics = options.metrics
    params.endpoint_slots = options.slots and not options.no_slots
    # Nobody but Portico talks to it: no page, no other origins.
    params.ui = False
    params.cors_origins = "http://127.0.0.1"
    params.embedding = options.embedding
    params.warmup = not options.no_warmup
    if options.mmproj and not options.no_mmproj:
        params.mmproj.path = options.mmproj
        params.mmproj_use_gpu = not options.no_mmproj_offload
    if options.chat_template_file:
        with open(options.chat_template_file, encoding="utf-8") as file:
            options.chat_template = file.read()
    if options.pooling:
        params.pooling_type = getattr(
            xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{options.pooling.upper()}"
        )
    for name, value in {
        "n_threads_http": options.threads_http,
        "n_batch": options.batch_size,
        "n_ubatch": options.ubatch_size,
        "n_predict": options.predict,
        "n_gpu_layers": options.gpu_layers,
        "image_min_tokens": options.image_min_tokens,
        "image_max_tokens": options.image_max_tokens,
        "chat_template": options.chat_template,
        "verbosity": options.verbosity,
    }.items():
        if value is not None:
            setattr(params, name, value)
    return params


def main():
    options = parse(sys.argv[1:])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        import xllamacpp
    except ImportError as error:
        sys.exit(f"error: {error}; run `portico model install`")
    try:
        server = xllamacpp.Server(parameters(options, xllamacpp))
    except RuntimeError as error:
        # llama.cpp has said why on the lines above; a traceback would push them out of sight.
        sys.exit(f"error: {error}")
    print(f"listening on {server.listening_address}", flush=True)
    stop.wait()
    # The orderly way out takes llama.cpp one to two seconds, and there is nothing left to save.
    if options.host.endswith(".sock"):
        try:
            os.unlink(options.host)
        except OSError:
            pass
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
