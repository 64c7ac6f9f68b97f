/* What a camera can do and is set to, as its daemon tells: asked again whenever the daemon or its camera is another one, or
 * anybody has changed its settings. */

import { Problem, get, pathOf } from "../kit/api.js";
import { statuses } from "../kit/status.js";
import { isOpen } from "./camera-state.js";

const AGAIN_MS = 3000;

/** Events: "facts" (capabilities and controls were read), "status" (a new status, or it became stale). */
export class Camera extends EventTarget {
  #capabilitiesOf = null;
  #controlsOf = null;
  #reading = false;

  constructor(name) {
    super();
    this.name = name;
    this.capabilities = null;
    this.controls = null;
    this.status = null;
    this.fresh = false;
    this.seenAt = 0; // on this page's clock, when the status came
    statuses.watch("camera", name, (wire, fresh) => {
      if (wire.status?.date !== this.status?.date) this.seenAt = performance.now();
      this.status = wire.status;
      this.fresh = fresh;
      this.dispatchEvent(new Event("status"));
      this.#attend();
    });
  }

  /** Call `listener` now and at every event of this name. */
  on(name, listener) {
    this.addEventListener(name, listener);
    listener();
  }

  /** "/cameras/NAME" and more. */
  path(...more) {
    return pathOf("camera", this.name, ...more);
  }

  /** Whether something can be done with it now. */
  get usable() {
    return this.fresh && isOpen(this.status);
  }

  can(feature) {
    return this.capabilities?.features.includes(feature) ?? false;
  }

  /** What the camera shows without zoom, [x, y, width, height] on the sensor; null where it cannot zoom or it is not known. */
  get whole() {
    const control = this.controls?.ScalerCrop;
    if (!control) return null;
    return control.default?.length === 4 && control.default[2] > 0 ? control.default : [0, 0, ...this.capabilities.sensor_size];
  }

  async #attend() {
    if (!this.fresh || this.#reading || !this.status?.model) return;
    const { boot_id, model, settings_revision } = this.status;
    const camera = `${boot_id} ${model}`;
    const settings = `${camera} ${settings_revision}`;
    if (settings === this.#controlsOf) return;
    this.#reading = true;
    try {
      if (camera !== this.#capabilitiesOf) this.capabilities = await get(this.path("capabilities"));
      this.#capabilitiesOf = camera;
      this.controls = await get(this.path("controls"));
      this.#controlsOf = settings;
      this.dispatchEvent(new Event("facts"));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setTimeout(() => this.#attend(), AGAIN_MS); // it has just gone; the next status says so too
    } finally {
      this.#reading = false;
    }
  }
}

let schemas = null;

/** What requests may hold, by the API's own description: a schema of a name, as "Photo". Read once. */
export async function schemaOf(name) {
  schemas ??= get("/openapi.json").catch((error) => {
    schemas = null;
    throw error;
  });
  return (await schemas).components.schemas[name];
}
