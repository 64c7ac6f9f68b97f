/* Rectangles: on the picture (fractions of it, 0 to 1 each way: {x, y, width, height}) and on the sensor ([x, y, width, height],
 * pixels). The picture shows all of the crop, so one is the other scaled. */

const SMALLEST = 0.02; // of the picture, either way: less is a tap or a slip, not a rectangle

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const even = (value) => 2 * Math.round(value / 2); // whole cells of a colour mosaic

/** Where a pointer is on an element: [x, y], fractions, inside it. */
export function placeOf(event, element) {
  const box = element.getBoundingClientRect();
  return [clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1)];
}

/** The rectangle between two places. */
export function between([x0, y0], [x1, y1]) {
  return { x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0) };
}

/** The rectangle of the picture's own shape that grows from one place towards another, inside the picture. */
export function betweenInShape([x0, y0], [x1, y1]) {
  const right = x1 >= x0;
  const down = y1 >= y0;
  const room = Math.min(right ? 1 - x0 : x0, down ? 1 - y0 : y0);
  const size = Math.min(Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0)), room);
  return { x: right ? x0 : x0 - size, y: down ? y0 : y0 - size, width: size, height: size };
}

/** Whether a rectangle on the picture is large enough to be meant. */
export function isMeant(rectangle) {
  return rectangle.width >= SMALLEST && rectangle.height >= SMALLEST;
}

/** A rectangle on the picture as one on the sensor. */
export function onSensor(rectangle, crop) {
  const [x, y, width, height] = crop;
  return [x + rectangle.x * width, y + rectangle.y * height, rectangle.width * width, rectangle.height * height].map(even);
}

/** A rectangle on the sensor as one on the picture; parts of it may be outside. */
export function onPicture([x, y, width, height], crop) {
  return {
    x: (x - crop[0]) / crop[2],
    y: (y - crop[1]) / crop[3],
    width: width / crop[2],
    height: height / crop[3],
  };
}

/** How many times larger than without zoom things are seen. */
export function zoomOf(crop, whole) {
  return whole[2] / crop[2];
}

/** Whether nothing is cut off. */
export function isWhole(crop, whole) {
  return crop.every((value, index) => Math.abs(value - whole[index]) <= 1);
}

/** The crop moved by fractions of what is seen, inside the whole. */
export function moved(crop, dx, dy, whole) {
  return inside([crop[0] + dx * crop[2], crop[1] + dy * crop[3], crop[2], crop[3]], whole);
}

/** The crop made `factor` times smaller about its middle; the whole where it would be larger than that. */
export function scaled(crop, factor, whole) {
  const [width, height] = [crop[2] / factor, crop[3] / factor];
  if (width >= whole[2] || height >= whole[3]) return [...whole];
  return inside([crop[0] + (crop[2] - width) / 2, crop[1] + (crop[3] - height) / 2, width, height], whole);
}

function inside([x, y, width, height], whole) {
  const [w, h] = [even(width), even(height)];
  return [
    even(clamp(x, whole[0], whole[0] + whole[2] - w)),
    even(clamp(y, whole[1], whole[1] + whole[3] - h)),
    w,
    h,
  ];
}
