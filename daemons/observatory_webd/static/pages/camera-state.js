/* Whether a camera is there: its daemon answers without it too. */

const OPEN = ["idle", "acquiring", "aborting"];

/** Whether a daemon of this status has its camera, which then can be asked and set. */
export function isOpen(status) {
  return OPEN.includes(status?.state);
}

/** Why nothing can be done with the camera of a daemon that answers; null if something can. */
export function closedText(status) {
  if (isOpen(status)) return null;
  if (status?.state === "offline") return "The camera is shut down.";
  return status?.last_error ? `The camera is not there: ${status.last_error}` : "The camera is being opened.";
}
