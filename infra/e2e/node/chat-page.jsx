// A page with the AI SDK's `useChat` and its default transport, as an application has it. `globalThis.show` starts it.
// What the page shows is in `globalThis.shown`.

import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { createRoot } from 'react-dom/client';

function Chat({ id, transport }) {
  const { messages, sendMessage, status, error } = useChat({ id, resume: true, transport });
  const parts = messages.filter(({ role }) => role === 'assistant').flatMap(message => message.parts);
  const text = parts.filter(({ type }) => type === 'text').map(part => part.text).join('\n\n');
  globalThis.shown = { text, status, error: error?.message };
  globalThis.send = content => void sendMessage({ text: content });
  return <p>{text}</p>;
}

globalThis.show = ({ project, token }) => {
  const transport = new DefaultChatTransport({ api: '/api/chat', headers: { 'x-csrf-token': token } });
  createRoot(document.body).render(<Chat id={project} transport={transport} />);
};
