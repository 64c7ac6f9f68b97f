/* What the API says about what it takes: lengths, ranges and choices, so that no page has to know them. */

import { get } from "./api.js";

/** Of a body of the API ("NewToken"): { field: { minLength, maxLength, minimum, maximum, enum } }, as its description has them. */
export async function limitsOf(...names) {
  const { components } = await get("/openapi.json");
  return Object.fromEntries(names.map((name) => [name, fieldsOf(components.schemas[name].properties)]));
}

function fieldsOf(properties) {
  return Object.fromEntries(Object.entries(properties).map(([field, said]) => {
    const { exclusiveMinimum, ...limits } = said.anyOf?.find((one) => one.type !== "null") ?? said;
    return [field, { above: exclusiveMinimum, ...limits }];
  }));
}
