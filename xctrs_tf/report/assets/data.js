/* Arrays embedded in the page. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function loadData() {
  const data = JSON.parse(document.getElementById("data").textContent);
  data.ct = new Uint8Array(await unpack(data.ct));
  data.labels = data.labels && new Uint8Array(await unpack(data.labels));
  data.rgb = data.colors.map(toRgb);
  for (const mesh of data.meshes) {
    mesh.vertices = new Uint16Array(await unpack(mesh.vertices));
    mesh.faces = new Uint32Array(await unpack(mesh.faces));
  }
  return data;
}

function toRgb(color) {
  return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
}
