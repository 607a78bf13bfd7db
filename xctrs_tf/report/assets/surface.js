/* The vertebrae as surfaces, in WebGL 2. Vertices are LPS in [-1, 1] on 16 bits. */
const VERTEX_SHADER = `#version 300 es
in vec3 position, normal;
uniform mat3 view;
uniform vec2 scale;
out vec3 facing;
void main() {
  vec3 seen = view * position;
  facing = view * normal;
  gl_Position = vec4(seen.xy * scale, -seen.z * 0.4, 1.0);
}`;
const FRAGMENT_SHADER = `#version 300 es
precision mediump float;
in vec3 facing;
uniform vec3 color;
out vec4 pixel;
void main() {
  vec3 n = normalize(gl_FrontFacing ? facing : -facing);
  float lit = 0.38 + 0.50 * max(dot(n, normalize(vec3(-0.45, 0.55, 0.70))), 0.0) + 0.22 * max(n.z, 0.0);
  float shine = pow(max(dot(n, normalize(vec3(-0.25, 0.30, 0.92))), 0.0), 28.0);
  pixel = vec4(color * lit + 0.14 * shine, 1.0);
}`;
const FIRST_VIEW = { azimuth: 35, elevation: 10, size: 0.84 };

function vertexNormals(positions, faces) {
  const normals = new Float32Array(positions.length);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const u = [0, 1, 2].map((i) => positions[b + i] - positions[a + i]);
    const v = [0, 1, 2].map((i) => positions[c + i] - positions[a + i]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const corner of [a, b, c]) for (let i = 0; i < 3; i++) normals[corner + i] += n[i];
  }
  return normals;
}

function makeProgram(gl) {
  const program = gl.createProgram();
  [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]].forEach(([type, source]) => {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  });
  ["position", "normal"].forEach((name, at) => gl.bindAttribLocation(program, at, name));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

function uploadMesh(gl, mesh) {
  const positions = Float32Array.from(mesh.vertices, (v) => v / 32767.5 - 1);
  const vao = gl.createVertexArray();
  gl.bindVertexArray(vao);
  [positions, vertexNormals(positions, mesh.faces)].forEach((values, at) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, 3, gl.FLOAT, false, 0, 0);
  });
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.faces, gl.STATIC_DRAW);
  const color = toRgb(mesh.color).map((part) => part / 255);
  return { vao, color, count: mesh.faces.length, name: mesh.name, shown: true };
}

/* Rows: to the viewer's right, up, to the viewer. Azimuth 0 looks from the patient's left. */
function viewMatrix(azimuth, elevation) {
  const a = azimuth * Math.PI / 180, e = elevation * Math.PI / 180;
  const viewer = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
  const right = [-Math.sin(a), Math.cos(a), 0];
  const up = [
    viewer[1] * right[2] - viewer[2] * right[1],
    viewer[2] * right[0] - viewer[0] * right[2],
    viewer[0] * right[1] - viewer[1] * right[0],
  ];
  return [0, 1, 2].flatMap((i) => [right[i], up[i], viewer[i]]);
}

function makeSurface(canvas, meshes, boxes) {
  const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  if (!gl) return null;
  const program = makeProgram(gl);
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  gl.clearColor(0.933, 0.949, 0.965, 1);
  const uniform = Object.fromEntries(
    ["view", "scale", "color"].map((name) => [name, gl.getUniformLocation(program, name)]));
  const bodies = meshes.map((mesh) => uploadMesh(gl, mesh));
  const view = { ...FIRST_VIEW };
  function draw() {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, canvas.clientWidth * ratio);
    canvas.height = Math.max(1, canvas.clientHeight * ratio);
    const side = Math.min(canvas.width, canvas.height) * view.size;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix3fv(uniform.view, false, viewMatrix(view.azimuth, view.elevation));
    gl.uniform2f(uniform.scale, side / canvas.width, side / canvas.height);
    for (const body of bodies.filter((b) => b.shown)) {
      gl.bindVertexArray(body.vao);
      gl.uniform3fv(uniform.color, body.color);
      gl.drawElements(gl.TRIANGLES, body.count, gl.UNSIGNED_INT, 0);
    }
  }
  function turn(right, up) {
    view.azimuth -= right;
    view.elevation = Math.max(-89, Math.min(89, view.elevation + up));
    draw();
  }
  function resize(factor) {
    view.size = Math.max(0.3, Math.min(6, view.size * factor));
    draw();
  }
  listenToPointer(canvas, turn, resize);
  canvas.addEventListener("keydown", (event) => {
    const actions = {
      ArrowLeft: () => turn(-8, 0), ArrowRight: () => turn(8, 0),
      ArrowUp: () => turn(0, -8), ArrowDown: () => turn(0, 8),
      "+": () => resize(1.15), "-": () => resize(1 / 1.15),
      0: () => { Object.assign(view, FIRST_VIEW); draw(); },
    };
    if (actions[event.key]) { actions[event.key](); event.preventDefault(); }
  });
  boxes.addEventListener("change", (event) => {
    const body = bodies.find((b) => b.name === event.target.dataset.vertebra);
    if (body) { body.shown = event.target.checked; draw(); }
  });
  window.addEventListener("resize", draw);
  draw();
  return { view, draw };
}

function listenToPointer(canvas, turn, resize) {
  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    last = event;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    turn((event.clientX - last.clientX) * 0.5, (event.clientY - last.clientY) * 0.5);
    last = event;
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
  canvas.addEventListener("wheel", (event) => {
    resize(Math.exp(-event.deltaY / 600));
    event.preventDefault();
  }, { passive: false });
}
