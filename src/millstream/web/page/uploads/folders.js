// Files that were dropped, pasted or chosen: folders are walked through, and each file has its path within them.

// Of a drop. What the system hides (names that begin with a dot) is left out, as `millstream ingest` leaves it out.
export async function filesOf(transfer) {
  const roots = [...transfer.items].map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
  if (!roots.length) return chosenFiles(transfer.files);
  const found = [];
  for (const root of roots) await walk(root, found);
  return { files: found.sort(byPath), folder: roots.length === 1 && roots[0].isDirectory ? roots[0].name : null };
}

// Of a field: `webkitRelativePath` is empty where single files were chosen.
export function chosenFiles(list) {
  const files = [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name })).filter((one) => !isHidden(one.path)).sort(byPath);
  const roots = new Set(files.map((one) => one.path.split("/")[0]));
  return { files, folder: roots.size === 1 && files.some((one) => one.path.includes("/")) ? [...roots][0] : null };
}

const byPath = (one, other) => one.path.localeCompare(other.path, undefined, { numeric: true });
const isHidden = (path) => path.split("/").some((part) => part.startsWith("."));

async function walk(entry, found) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) {
    const file = await new Promise((good, bad) => entry.file(good, bad));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // Answers a hundred at a time, and nothing behind the last.
    const part = await new Promise((good, bad) => reader.readEntries(good, bad));
    if (!part.length) return;
    for (const one of part) await walk(one, found);
  }
}
