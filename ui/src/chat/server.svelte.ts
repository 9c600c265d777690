import { fetchModels, fetchReadiness, type Model, type ModelState, type Readiness } from '../lib/api.ts';
import { RequestError, type Failure } from '../lib/failure.ts';
import { load, save } from '../lib/storage.ts';

const POLL_MS = 2_000;
const DEADLINE_MS = 10_000;
const KEY = 'portico.model';

/** What is known about the server and its models; asks again while something is not as it should be. */
export class Server {
  models = $state.raw<Model[]>([]);
  /** Why the list of models is missing, or undefined. */
  failure = $state.raw<Failure | undefined>(undefined);
  #readiness = $state.raw<Readiness | undefined>(undefined);
  #chosen = $state(load('local', KEY) ?? '');
  #listed = $state(false);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  /** Something happened while it was asked, so that the answer may be of before. */
  #stale = false;
  #stopped = false;

  /** The chosen model, or the first one. */
  readonly model: Model | undefined = $derived(this.models.find(({ id }) => id === this.#chosen) ?? this.models[0]);

  readonly reachable: boolean = $derived(this.#readiness?.reachable !== false);

  /** False until the list of models has been seen once. */
  get listed(): boolean {
    return this.#listed;
  }

  readonly state: ModelState = $derived.by(() => {
    const readiness = this.#readiness;
    if (!readiness) return 'unknown';
    if (!readiness.reachable) return 'down';
    const told = (this.model && readiness.models[this.model.id]) ?? 'unknown';
    if (told !== 'unknown') return told;
    // Without identity the server tells no names: ready, or on its way.
    if (readiness.ready) return 'ready';
    return this.model && this.model.state !== 'unknown' && this.model.state !== 'ready' ? this.model.state : 'loading';
  });

  canSee(model: Model | undefined): boolean {
    return !model?.modalities || model.modalities.includes('image');
  }

  /** A model that sees pictures, preferring one that is ready. */
  get seeing(): Model | undefined {
    const able = this.models.filter((model) => this.canSee(model));
    return able.find(({ id }) => this.#readiness?.models[id] === 'ready') ?? able[0];
  }

  choose(id: string): void {
    this.#chosen = id;
    save('local', KEY, id);
    this.refresh();
  }

  start(): void {
    document.addEventListener('visibilitychange', this.#onVisible);
    window.addEventListener('online', this.refresh);
    this.refresh();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#onVisible);
    window.removeEventListener('online', this.refresh);
  }

  /** Asks now, and then every two seconds until the chosen model is ready. */
  refresh = (): void => {
    clearTimeout(this.#timer);
    void this.#ask();
  };

  #onVisible = (): void => {
    if (document.visibilityState === 'visible') this.refresh();
  };

  async #ask(): Promise<void> {
    this.#stale = this.#asking;
    if (this.#asking) return;
    this.#asking = true;
    const asked = new AbortController();
    const deadline = setTimeout(() => asked.abort(), DEADLINE_MS);
    const [readiness] = await Promise.all([fetchReadiness(asked.signal), this.#listModels(asked.signal)]);
    clearTimeout(deadline);
    this.#asking = false;
    if (this.#stopped) return;
    this.#readiness = readiness;
    if (this.#stale) return this.refresh();
    // Nothing changes by itself for who is not logged in, and a hidden page asks again when it is looked at.
    const settled = this.failure ? this.failure.kind === 'signedOut' : this.state === 'ready' && this.models.length > 0;
    if (!settled && document.visibilityState === 'visible') this.#timer = setTimeout(this.refresh, POLL_MS);
  }

  async #listModels(signal: AbortSignal): Promise<void> {
    try {
      this.models = await fetchModels(signal);
      this.failure = undefined;
      this.#listed = true;
    } catch (error) {
      if (error instanceof RequestError) this.failure = error.failure;
    }
  }
}
