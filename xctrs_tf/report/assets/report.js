/* Start the page; errors are shown on the page. */
function say(message) {
  const failure = document.getElementById("failure");
  failure.textContent = message;
  failure.hidden = false;
}

async function start() {
  const data = await loadData();
  const overlay = document.getElementById("overlay");
  overlay.closest("p").hidden = !data.labels;
  for (const plane of PLANES) addPlane(document.getElementById("planes"), data, plane, overlay);
  const canvas = document.getElementById("surface");
  if (!data.meshes.length) canvas.closest("section").hidden = true;
  else if (!makeSurface(canvas, data.meshes, document.getElementById("legend"))) {
    canvas.replaceWith(element("p", { textContent: "This browser has no WebGL 2, which the surface needs." }));
  }
  document.body.dataset.ready = "true";
}

if (typeof DecompressionStream === "undefined") say("This browser is too old for the planes and the surface.");
else start().catch((error) => { say(`The planes and the surface cannot be shown: ${error.message}`); console.error(error); });
