// Where files and folders are dropped, pasted, or chosen.
import { html, useLayoutEffect, useRef, useState } from "../../html.js";
import { t } from "../../language.js";
import { Icon } from "../../parts.js";
import { addUploads } from "../../uploads.js";
import { chosenFiles, filesOf } from "../../uploads/folders.js";

export function DropZone({ target }) {
  const [isOver, setOver] = useState(false);
  const [isReading, setReading] = useState(false);
  const [isNothing, setNothing] = useState(false);
  const fields = { files: useRef(null), folder: useRef(null) };
  const current = useRef(target);
  current.current = target;
  const take = async (transfer) => {
    setNothing(false);
    setReading(true);
    try {
      const found = await filesOf(transfer);
      addUploads(found, current.current);
      setNothing(found.files.length === 0);
    } finally {
      setReading(false);
    }
  };
  const pick = (event) => {
    const found = chosenFiles(event.target.files);
    addUploads(found, target);
    setNothing(event.target.files.length > 0 && found.files.length === 0);
    event.target.value = "";
  };
  useLayoutEffect(() => {
    const paste = (event) => { if (event.clipboardData?.files.length) { event.preventDefault(); take(event.clipboardData); } };
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, []);
  return html`<div class=${isOver ? "drop over" : "drop"} data-testid="drop"
      onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
      onDrop=${(event) => { event.preventDefault(); setOver(false); take(event.dataTransfer); }}>
    <span class="drop-icon"><${Icon} name="upload" size=${34} /></span>
    <p class="drop-said" role="status">${isReading ? t("upload.reading") : isNothing ? t("upload.nothing_in_it") : t("upload.drop")}</p>
    <div class="row center">
      <button type="button" class="primary" onClick=${() => fields.files.current.click()}><${Icon} name="file" size=${18} />${t("upload.choose_files")}</button>
      <button type="button" onClick=${() => fields.folder.current.click()}><${Icon} name="folder" size=${18} />${t("upload.choose_folder")}</button>
    </div>
    <small>${t("upload.formats")}</small>
    <input class="hidden" ref=${fields.files} type="file" multiple tabindex="-1" aria-label=${t("upload.choose_files")} data-testid="files" onChange=${pick} />
    <input class="hidden" ref=${fields.folder} type="file" multiple webkitdirectory tabindex="-1" aria-label=${t("upload.choose_folder")} data-testid="folder" onChange=${pick} />
  </div>`;
}
