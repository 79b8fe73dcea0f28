@echo off
rem Starts X86Virt: a script with its arguments, a -Command, or a prompt. See the shell script of the same name.
setlocal
set root=%~dp0
set artifacts=%root%artifacts
if not exist "%artifacts%" mkdir "%artifacts%"
dotnet publish "%root%src\X86Virt.PowerShell" -c Release -o "%root%module\bin" -v q --nologo > "%artifacts%\build.log" 2>&1 || (type "%artifacts%\build.log" & exit /b 70)

if /i "%X86VIRT_SHELL%"=="embedded" goto embedded
where pwsh >nul 2>nul || goto embedded
if not exist "%artifacts%\modules\X86Virt" (
    mkdir "%artifacts%\modules" 2>nul
    mklink /j "%artifacts%\modules\X86Virt" "%root%module" >nul
)
set PSModulePath=%artifacts%\modules;%PSModulePath%
set first=%~1
if "%first%"=="" (
    pwsh -NoLogo -NoExit -Command "Import-Module '%root%module\X86Virt.psd1'"
) else if "%first:~0,1%"=="-" (
    pwsh -NoLogo %*
) else (
    pwsh -NoLogo -NoProfile -File %*
)
exit /b %errorlevel%

:embedded
dotnet publish "%root%src\X86Virt.Shell" -c Release -o "%artifacts%\shell" -v q --nologo > "%artifacts%\build.log" 2>&1 || (type "%artifacts%\build.log" & exit /b 70)
"%artifacts%\shell\x86virt-shell.exe" -Module "%root%module\X86Virt.psd1" %*
exit /b %errorlevel%
