/* The three planes. Arrays are [x, y, z] in LPS; z points up on the screen, y down. */
const PLANES = [
  { name: "Sagittal", normal: 0, across: 1, down: 2, upright: true, left: "A", right: "P", top: "S" },
  { name: "Coronal", normal: 1, across: 0, down: 2, upright: true, left: "R", right: "L", top: "S" },
  { name: "Axial", normal: 2, across: 0, down: 1, upright: false, left: "R", right: "L", top: "A" },
];
const OVERLAY = 0.45;

function drawPlane(canvas, data, plane, index, overlay) {
  const { shape, ct, labels, rgb } = data;
  const strides = [shape[1] * shape[2], shape[2], 1];
  const width = shape[plane.across], height = shape[plane.down];
  const image = new ImageData(width, height);
  for (let row = 0, at = 0; row < height; row++) {
    const down = plane.upright ? height - 1 - row : row;
    const start = index * strides[plane.normal] + down * strides[plane.down];
    for (let column = 0; column < width; column++, at += 4) {
      const voxel = start + column * strides[plane.across];
      const color = overlay && labels && labels[voxel] ? rgb[labels[voxel] - 1] : null;
      for (let channel = 0; channel < 3; channel++) {
        image.data[at + channel] = color
          ? (1 - OVERLAY) * ct[voxel] + OVERLAY * color[channel]
          : ct[voxel];
      }
      image.data[at + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function addPlane(parent, data, plane, overlay) {
  const last = data.shape[plane.normal] - 1;
  const id = `slice-${plane.name.toLowerCase()}`;
  const canvas = element("canvas", {
    width: data.shape[plane.across], height: data.shape[plane.down],
    id: `plane-${plane.name.toLowerCase()}`,
  });
  canvas.setAttribute("role", "img");
  const slider = element("input", {
    type: "range", id, min: 0, max: last, step: 1, value: data.start[plane.normal],
  });
  const output = element("output", {});
  output.htmlFor = id;
  function draw() {
    drawPlane(canvas, data, plane, slider.valueAsNumber, overlay.checked);
    output.textContent = `${slider.valueAsNumber + 1}/${last + 1}`;
    canvas.setAttribute("aria-label", `${plane.name} plane ${output.textContent}`);
  }
  slider.addEventListener("input", draw);
  overlay.addEventListener("change", draw);
  const letters = ["left", "right", "top"].map(
    (side) => element("span", { className: side, textContent: plane[side] }));
  const label = element("label", { htmlFor: id, textContent: plane.name });
  parent.append(element("figure", {},
    element("div", { className: "picture" }, canvas, ...letters),
    element("div", { className: "slider" }, label, slider, output)));
  draw();
}
